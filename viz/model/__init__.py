"""What is to be shown: variables, their roles, who reads whom; and the operations of one step."""
