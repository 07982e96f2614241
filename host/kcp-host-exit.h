/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp.h"

G_BEGIN_DECLS

/* What the program's exit status says. The table is part of the interface: scripts rely on it, and
 * the manual page repeats it. */
typedef enum
{
  HOST_EXIT_OK = 0,
  HOST_EXIT_CALL_FAILED = 1,         /* a call ended with an error */
  HOST_EXIT_USAGE = 2,               /* the command line cannot be used */
  HOST_EXIT_NOT_STARTED = 3,         /* no such plugin, or it was not loaded or not started */
  HOST_EXIT_CHILD_DIED = 4,          /* the child crashed or exited by itself */
  HOST_EXIT_TIMED_OUT = 5,           /* the call's deadline passed */
  HOST_EXIT_CONNECTION = 6,          /* the connection broke, or output could not be written */
  HOST_EXIT_BAD_LINES = 7,           /* some lines of input made no sense */
  HOST_EXIT_COMMAND_NOT_FOUND = 127, /* `run` could not run its command */
  HOST_EXIT_INTERRUPTED = 130,       /* Ctrl-C, or asked to terminate */
} HostExit;

HostExit host_exit_for_start (const GError  *error);
HostExit host_exit_for_call  (const GError  *error);

/* One line on stderr, in the user's language and the terminal's charset. */
void     host_complain       (const char    *format,
                              ...) G_GNUC_PRINTF (1, 2);

/* The same for an error, with the remedy where there is one. @what may be NULL. */
void     host_complain_error (const char    *what,
                              const GError  *error);

/* How a child ended, with the last lines it wrote to stderr. */
void     host_complain_death (KcpExitReport *report);

G_END_DECLS
