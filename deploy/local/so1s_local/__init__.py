"""So1s on one machine: a supervisor for the services and the embedded parts."""
