//! Conversations with the exchange over an in-memory pipe.
