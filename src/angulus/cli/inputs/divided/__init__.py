"""What is divided among jobs, or among the processes that torchrun started."""
