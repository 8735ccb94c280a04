"""What the integration and fault tests share: real servers, the relay's process, a proxy that misbehaves."""
