"""The stories: methods that take more than one statement. The tree mirrors ``rpc_client/contract``."""
