"""What a network does while it reads: gates, units, gradients, memory. Arrays out; cli draws."""
