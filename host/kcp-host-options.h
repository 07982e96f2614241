/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp.h"
#include "kcp-host-terminal.h"

G_BEGIN_DECLS

/* What the command line says. */
typedef struct
{
  char *name;
  GLogLevelFlags log_level;
  int timeout_ms;             /* KCP_TIMEOUT_DEFAULT where none was given, like the two below */
  int start_timeout_ms;
  int stop_timeout_ms;
  gsize frame_limit;          /* 0: the library's */
  char **env;
  char **unset_env;
  gboolean inherit_env;
  char **wrapper;
  char *stub;
  char *directory;
  gboolean core_dumps;
  char **callbacks;           /* PATH=COMMAND */
  gboolean callback_lines;
  HostColor color;
  gboolean quiet;

  char *plugin;               /* the file, found */
  GPtrArray *config;          /* of HostSetting */
  const char *command;        /* NULL: JSON Lines */
  char **args;                /* of the command; borrowed from argv */
} HostOptions;

typedef enum
{
  HOST_OPTIONS_RUN,
  HOST_OPTIONS_DONE,          /* the version was printed */
  HOST_OPTIONS_BAD,           /* of the command line itself */
  HOST_OPTIONS_NO_PLUGIN,     /* there is no such plugin */
} HostOptionsResult;

/* @argv stays in use; --help prints and exits. */
HostOptionsResult host_options_parse (HostOptions  *options,
                                      int           argc,
                                      char        **argv,
                                      GError      **error);
void              host_options_clear (HostOptions  *options);

G_END_DECLS
