"""The moving loops, one module per way of invoking: gather facts, ask a rule, hand the verdict to the store."""
