/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp.h"
#include "kcp-host-exit.h"
#include "kcp-host-options.h"

G_BEGIN_DECLS

/* One run of the program, from the spawn of the child to its end. Runs in the main context.
 *
 *   prepare ──spawn──► ready ──► … host_session_finish() ──stop──► stopped ──► exit status
 *                        │ Ctrl-C: interrupted, finish
 *                        │ the child is gone by itself: exited
 */
typedef struct _HostSession HostSession;

/* What the user wants done with the plugin: a verb of the command line. Everything but the name,
 * prepare and ready may be missing. */
typedef struct
{
  const char *name;      /* NULL: the one that runs without a command */
  const char *usage;     /* its arguments, to be translated */

  /* Reads the arguments and sets the session's data, before anything is started. */
  gboolean (*prepare)     (HostSession    *session,
                           char          **args,
                           GError        **error);
  /* There is a plugin to talk to. */
  void     (*ready)       (HostSession    *session);
  /* The start failed; the complaint is already out. */
  void     (*failed)      (HostSession    *session);
  /* The user wants it to end: return TRUE to call host_session_finish() later. */
  gboolean (*interrupted) (HostSession    *session,
                           int             signal_number);
  /* The child has gone by itself; without it the session finishes. */
  void     (*exited)      (HostSession    *session,
                           KcpExitReport  *report);
  /* The child is stopped and reaped. May change the exit status. */
  void     (*stopped)     (HostSession    *session,
                           KcpExitReport  *report);
  void     (*free)        (gpointer        data);
} HostVerb;

struct _HostSession
{
  const HostVerb *verb;
  HostOptions *options;
  gpointer data;                /* the verb's own */

  KcpLauncher *launcher;
  KcpCallbackRouter *router;    /* NULL if callbacks are not served */
  KcpActor *actor;              /* NULL until it is ready */
  HostStyle out;                /* how to write to stdout */
  int exit_status;

  GMainLoop *loop;
  GCancellable *start_cancellable;
  guint n_interrupts;
  gboolean finishing;
  gboolean death_told;
};

int  host_session_run      (HostOptions     *options,
                            const HostVerb  *verb);

/* Stops the child and ends the session with @exit_status; the first to call it decides. */
void host_session_finish   (HostSession     *session,
                            int              exit_status);

/* A message for @path with the timeout the user wants. */
KcpMessage *host_session_new_message (HostSession  *session,
                                      const char   *path,
                                      JsonNode     *body) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
