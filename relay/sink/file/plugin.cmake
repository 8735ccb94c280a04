pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
set(PLUGIN_LIBRARIES OpenSSL::Crypto PkgConfig::ZLIB PkgConfig::ZSTD)
set(PLUGIN_HEADERS zlib.h zstd.h)
