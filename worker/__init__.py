"""Rowcall's worker: takes calls from RabbitMQ, runs their SQL on PostgreSQL, replies, and announces what changed."""
