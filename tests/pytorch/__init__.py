"""What needs PyTorch: run by `make test-torch`, in an environment that has it."""
