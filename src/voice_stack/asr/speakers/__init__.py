"""Who speaks when: engines that tell voices apart, and what runs them in a process of their own."""
