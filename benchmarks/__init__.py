"""What is measured, and the harness that the tests share with it."""
