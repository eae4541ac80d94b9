"""One stream of events; logs, and later metrics, traces and alerts, are made from it."""
