"""Graph to graph, before a plan is made: what makes a request fast, each proven to change no value."""
