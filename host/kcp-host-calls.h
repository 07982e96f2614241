/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-host-request.h"
#include "kcp-host-terminal.h"
#include "kcp-host-writer.h"

G_BEGIN_DECLS

/* The calls of a conversation, from the line that asks for one to its last answer.
 *
 *   take ─► waiting ─► in flight ─► items … ─► end or error
 *              │           └─ stalled while the output is not taken
 *              └─ no child yet, or enough in flight
 */
typedef struct _HostCalls HostCalls;

typedef struct
{
  /* Takes @text, a line with its end. */
  void (*emit)    (gpointer  data,
                   char     *text);
  /* Calls have started, moved or ended: time to look at what is open. */
  void (*changed) (gpointer  data);
} HostCallsFuncs;

/* Calls that are in flight at the same time. */
#define HOST_CALLS_MAX_IN_FLIGHT 1024

/* @style is NULL for JSON; @writer is where lines go in the end, asked only whether there is room. */
HostCalls *host_calls_new          (HostWriter           *writer,
                                    const HostStyle      *style,
                                    int                   timeout_ms,
                                    const HostCallsFuncs *funcs,
                                    gpointer              data) G_GNUC_WARN_UNUSED_RESULT;

/* Cancels what is open and calls nothing any more. */
void       host_calls_close        (HostCalls            *self);

void       host_calls_set_actor    (HostCalls            *self,
                                    KcpActor             *actor);

/* Takes the call or one-way message of @request, which was line @line and @size bytes long. FALSE
 * with an error if the line is to blame. */
gboolean   host_calls_take         (HostCalls            *self,
                                    HostRequest          *request,
                                    guint64               line,
                                    gsize                 size,
                                    GError              **error);

/* Ends a call early; nothing if there is none with this id (any more). */
void       host_calls_cancel       (HostCalls            *self,
                                    const char           *id);
void       host_calls_cancel_all   (HostCalls            *self);

/* Sends what waits and reads on what is stalled, as far as there is room. */
void       host_calls_pump         (HostCalls            *self);

/* Waiting or in flight. */
guint      host_calls_get_n_open   (HostCalls            *self);
guint64    host_calls_get_n_failed (HostCalls            *self);

G_END_DECLS
