"""The read side and the operator's verbs, over the backend's protocol."""
