pkg_check_modules(PROTON REQUIRED IMPORTED_TARGET libqpid-proton)
if(NOT EXISTS "${PROTON_INCLUDE_DIRS}") # Debian names a folder that is not there, which CMake refuses; compilers find the headers without it
  set_property(TARGET PkgConfig::PROTON PROPERTY INTERFACE_INCLUDE_DIRECTORIES)
endif()
find_package(OpenSSL 3 REQUIRED COMPONENTS Crypto SSL) # it says why a certificate is refused; proton's own TLS does not
set(PLUGIN_LIBRARIES cr_sink_kit PkgConfig::PROTON OpenSSL::SSL)
set(PLUGIN_HEADERS proton/codec.h proton/condition.h proton/connection.h proton/connection_driver.h proton/delivery.h proton/disposition.h proton/link.h proton/message.h proton/sasl.h proton/session.h proton/terminus.h proton/transport.h proton/version.h)
