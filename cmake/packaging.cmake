# What is installed beside the executable: sample configurations, SQL for owners of databases, man pages and completion, which the
# executable prints itself, and systemd's files.
install(FILES CHANGELOG.md TYPE DOC)
install(DIRECTORY config/samples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(DIRECTORY schema/postgres schema/sqlite DESTINATION ${CMAKE_INSTALL_DATADIR}/commitrelay)

# A package sets these two; the second is where Debian's zsh looks.
set(COMMITRELAY_UNIT_DIR lib/systemd/system CACHE STRING "Where systemd's units are installed")
set(COMMITRELAY_ZSH_DIR ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING "Where zsh's completion is installed")

# printed(FILE FOLDER WORD...): what `commitrelay reference WORD...` prints is FOLDER/FILE of the installation.
function(printed file folder)
  set(made ${CMAKE_BINARY_DIR}/printed/${folder}/${file})
  add_custom_command(OUTPUT ${made} COMMAND commitrelay reference ${ARGN} > ${made} DEPENDS commitrelay VERBATIM)
  set_property(GLOBAL APPEND PROPERTY COMMITRELAY_PRINTED ${made})
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/printed/${folder})
  install(FILES ${made} DESTINATION ${folder})
endfunction()

if(NOT CMAKE_CROSSCOMPILING AND NOT COMMITRELAY_SANITIZE)
  printed(commitrelay.1 ${CMAKE_INSTALL_MANDIR}/man1 man commitrelay.1)
  printed(commitrelay.yaml.5 ${CMAKE_INSTALL_MANDIR}/man5 man commitrelay.yaml.5)
  printed(commitrelay ${CMAKE_INSTALL_DATADIR}/bash-completion/completions completion bash)
  printed(_commitrelay ${COMMITRELAY_ZSH_DIR} completion zsh)
  printed(commitrelay.fish ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d completion fish)
  get_property(all_printed GLOBAL PROPERTY COMMITRELAY_PRINTED)
  add_custom_target(printed ALL DEPENDS ${all_printed})
endif()

# commitrelay@NAME: the same unit for /etc/commitrelay/NAME.yaml, with a state directory of its own.
set(unit ${CMAKE_SOURCE_DIR}/deploy/systemd/commitrelay.service)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${unit})
file(READ ${unit} text)
string(REGEX REPLACE "^(#[^\n]*\n)+" "# Made of commitrelay.service: commitrelay@NAME reads /etc/commitrelay/NAME.yaml.\n" text "${text}")
string(REPLACE "/etc/commitrelay/relay.yaml" "/etc/commitrelay/%i.yaml" text "${text}")
string(REPLACE "what a database has committed" "what a database has committed (%i)" text "${text}")
string(REPLACE "Directory=commitrelay\n" "Directory=commitrelay/%i\n" text "${text}")
string(REPLACE "/var/lib/commitrelay\n" "/var/lib/commitrelay/NAME\n" text "${text}")
file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/commitrelay@.service CONTENT "${text}")
install(FILES ${unit} ${CMAKE_BINARY_DIR}/commitrelay@.service DESTINATION ${COMMITRELAY_UNIT_DIR})
install(FILES deploy/systemd/commitrelay.sysusers DESTINATION lib/sysusers.d RENAME commitrelay.conf)
install(FILES deploy/systemd/commitrelay.tmpfiles DESTINATION lib/tmpfiles.d RENAME commitrelay.conf)
