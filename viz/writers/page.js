'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const all = (q, root = document) => Array.from(root.querySelectorAll(q));
const facts = document.getElementById('facts');
const fold = document.getElementById('fold');
const play = document.getElementById('play');
const phase = document.getElementById('phase');
const nodes = all('[data-node]');
const edges = all('[data-from]');
let view = data.start;

function show(name) {
  view = name;
  for (const f of all('figure')) f.hidden = f.id !== name;
  if (fold) fold.textContent = name === 'folded' ? 'Unfold' : 'Fold';
}
function tell(node) {
  const key = node.dataset.node, known = data.facts[key] || {};
  const lines = [known.name || key];
  for (const what of ['equation', 'shape', 'value', 'gradient']) if (known[what]) lines.push(what + ': ' + known[what]);
  facts.textContent = lines.join('\n');
}
function highlight(params) {
  for (const e of edges) {
    const mine = JSON.parse(e.dataset.carries || '[]');
    e.classList.toggle('use', mine.some(p => params.includes(p)));
    e.classList.toggle('dim', params.length > 0 && !mine.some(p => params.includes(p)));
  }
}
function chosen() {
  return all('.param[aria-pressed=true]').map(b => b.dataset.param);
}
function frame(k) {
  const n = data.order.length, back = k > n;
  const upto = back ? 2 * n - k : k;
  const lit = new Set(data.order.slice(0, back ? n : upto).flat());
  const came = new Set(back ? data.order.slice(upto).flat() : []);
  for (const v of all('#unfolded [data-node]')) {
    v.classList.toggle('dim', k > 0 && !lit.has(v.dataset.node));
    v.classList.toggle('on', k > 0 && !back && (data.order[k - 1] || []).includes(v.dataset.node));
    v.classList.toggle('back', came.has(v.dataset.node));
  }
  for (const e of all('#unfolded [data-from]')) e.classList.toggle('dim', k > 0 && !lit.has(e.dataset.to));
  phase.textContent = k === 0 ? '' : back ? 'backward ' + (k - n) + ' of ' + n : 'forward ' + k + ' of ' + n;
}
for (const v of nodes) {
  v.setAttribute('tabindex', '0');
  v.setAttribute('role', 'img');
  v.setAttribute('aria-label', (data.facts[v.dataset.node] || {}).name || v.dataset.node);
  v.addEventListener('mouseenter', () => tell(v));
  v.addEventListener('focus', () => tell(v));
}
for (const e of edges) {
  e.addEventListener('mouseenter', () => { const p = JSON.parse(e.dataset.carries || '[]'); if (p.length) highlight(p); });
  e.addEventListener('mouseleave', () => highlight(chosen()));
}
for (const b of all('.param')) b.addEventListener('click', () => {
  b.setAttribute('aria-pressed', String(b.getAttribute('aria-pressed') !== 'true'));
  highlight(chosen());
});
if (fold) fold.addEventListener('click', () => show(view === 'folded' ? 'unfolded' : 'folded'));
if (play) {
  play.max = String(2 * data.order.length);
  play.addEventListener('input', () => { show('unfolded'); frame(Number(play.value)); });
}
show(view);
