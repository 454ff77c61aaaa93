"""What is often taught of recurrent networks, as experiments: ``docs/lessons.md`` tells of them."""
