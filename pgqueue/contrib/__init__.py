"""What makes pgqueue at home in other libraries."""
