"""Query services and the live pages of supervisors."""
