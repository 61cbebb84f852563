"""HTTP: who comes in, what a request holds, which operation it is, and the socket it comes through."""
