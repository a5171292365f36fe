"""The library of So1s: publish models, read events, add consumers."""
