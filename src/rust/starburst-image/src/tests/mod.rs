//! What is built, seen in a real registry on loopback: Debian's docker-registry.
mod answers;
mod interrupted;
mod pushes;
mod server;
mod world;
