"""MONEY: what an hour of an accelerator costs, rented or owned, and what it makes of tokens, energy and carbon."""
