pkg_check_modules(PROTON REQUIRED IMPORTED_TARGET libqpid-proton)
find_package(OpenSSL 3 REQUIRED COMPONENTS Crypto SSL) # it says why a certificate is refused; proton's own TLS does not
set(PLUGIN_LIBRARIES cr_sink_kit PkgConfig::PROTON OpenSSL::SSL)
set(PLUGIN_HEADERS proton/codec.h proton/condition.h proton/connection.h proton/connection_driver.h proton/delivery.h proton/disposition.h proton/link.h proton/message.h proton/sasl.h proton/session.h proton/terminus.h proton/transport.h proton/version.h)
