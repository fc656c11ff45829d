"""What follows from equations: who needs whom, in which order, what is carried, what separates what."""
