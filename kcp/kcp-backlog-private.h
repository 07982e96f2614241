/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-link-private.h"

G_BEGIN_DECLS

/* Calls that wait while there is no link they could be sent on: in the order in which they were
 * made, bounded, with their deadlines running and their cancellables watched.
 *
 *     ask ──► waiting ──send_all──► the link's           (and back: take_back)
 *                └────── deadline, cancel, fail ──► told from the main loop
 *
 * It never calls user code from inside of its functions. Belongs to the thread that runs its
 * context. */
typedef struct _KcpBacklog KcpBacklog;

KcpBacklog *kcp_backlog_new              (GMainContext         *context);
KcpBacklog *kcp_backlog_ref              (KcpBacklog           *self);
void        kcp_backlog_unref            (KcpBacklog           *self);

/* How many may wait, and how many bytes of them; one always may, however large. */
void        kcp_backlog_set_limits       (KcpBacklog           *self,
                                          guint                 calls,
                                          gsize                 bytes);
/* For messages that say nothing else. */
void        kcp_backlog_set_call_timeout (KcpBacklog           *self,
                                          int                   milliseconds);

/* As the functions of a link. */
void        kcp_backlog_ask_async        (KcpBacklog           *self,
                                          gpointer              source_object,
                                          KcpMessage           *message,
                                          GCancellable         *cancellable,
                                          GAsyncReadyCallback   callback,
                                          gpointer              user_data);
gboolean    kcp_backlog_tell             (KcpBacklog           *self,
                                          KcpMessage           *message,
                                          GError              **error);
KcpStream  *kcp_backlog_ask_stream       (KcpBacklog           *self,
                                          KcpMessage           *message,
                                          GCancellable         *cancellable);

/* Puts a call that a link gives back before all others. If it is failed after that, it fails with
 * @reason. */
void        kcp_backlog_take_back        (KcpBacklog           *self,
                                          KcpCall              *call,
                                          KcpMessage           *message,
                                          KcpTraceContext      *trace,
                                          const GError         *reason);
/* Hands all of them to @link. */
void        kcp_backlog_send_all         (KcpBacklog           *self,
                                          KcpLink              *link);
/* New calls fail with @error from now on; takes it. NULL: they are taken again. */
void        kcp_backlog_refuse           (KcpBacklog           *self,
                                          GError               *error);
/* All of them fail. */
void        kcp_backlog_fail             (KcpBacklog           *self,
                                          const GError         *error);
guint       kcp_backlog_get_length       (KcpBacklog           *self);

/* Nothing waits here any more, and nothing will. */
void        kcp_backlog_close            (KcpBacklog           *self,
                                          const GError         *error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpBacklog, kcp_backlog_unref)

G_END_DECLS
