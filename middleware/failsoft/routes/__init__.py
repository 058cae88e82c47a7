"""The route table: own path trie, discovery of an application's routes, policy."""
