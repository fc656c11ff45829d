def expression(node):
    return node.op.name if not node.op.leaf else str(node.op)
