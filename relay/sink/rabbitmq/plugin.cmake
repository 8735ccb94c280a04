pkg_check_modules(RABBITMQ REQUIRED IMPORTED_TARGET librabbitmq)
find_package(OpenSSL 3 REQUIRED COMPONENTS Crypto SSL) # librabbitmq's own TLS context is set up further
set(PLUGIN_LIBRARIES cr_sink_kit PkgConfig::RABBITMQ OpenSSL::SSL)
set(PLUGIN_HEADERS amqp.h amqp_framing.h amqp_ssl_socket.h amqp_tcp_socket.h)
