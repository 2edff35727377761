"""The feed: what the sources list, merged, ordered, searched, and sent by e-mail."""
