//! Both ends over a socket.
