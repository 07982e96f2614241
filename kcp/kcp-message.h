/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

#define KCP_TYPE_MESSAGE (kcp_message_get_type ())

/**
 * KCP_TIMEOUT_DEFAULT:
 *
 * A message's timeout when it has none of its own: the one of the actor it is sent to.
 */
#define KCP_TIMEOUT_DEFAULT (-1)

/**
 * KCP_TIMEOUT_NONE:
 *
 * A timeout that never passes.
 */
#define KCP_TIMEOUT_NONE (0)

KCP_AVAILABLE_IN_ALL
GType            kcp_message_get_type          (void);

KCP_AVAILABLE_IN_ALL
KcpMessage      *kcp_message_new               (const char       *path,
                                                JsonNode         *body) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
KcpMessage      *kcp_message_new_text          (const char       *path,
                                                const char       *json,
                                                GError          **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
KcpMessage      *kcp_message_new_bytes         (const char       *path,
                                                GBytes           *bytes,
                                                const char       *content_type) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
KcpMessage      *kcp_message_ref               (KcpMessage       *self);
KCP_AVAILABLE_IN_ALL
void             kcp_message_unref             (KcpMessage       *self);

KCP_AVAILABLE_IN_ALL
const char      *kcp_message_get_path          (KcpMessage       *self);
KCP_AVAILABLE_IN_ALL
JsonNode        *kcp_message_get_body          (KcpMessage       *self,
                                                GError          **error);
KCP_AVAILABLE_IN_ALL
GBytes          *kcp_message_get_body_bytes    (KcpMessage       *self,
                                                GError          **error);
KCP_AVAILABLE_IN_ALL
const char      *kcp_message_get_content_type  (KcpMessage       *self);

KCP_AVAILABLE_IN_ALL
KcpMessage      *kcp_message_new_body_fd       (const char       *path,
                                                int               fd,
                                                const char       *content_type,
                                                GError          **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
gboolean         kcp_message_set_body_fd       (KcpMessage       *self,
                                                int               fd,
                                                const char       *content_type,
                                                GError          **error);

KCP_AVAILABLE_IN_ALL
GUnixFDList     *kcp_message_get_fd_list       (KcpMessage       *self);
KCP_AVAILABLE_IN_ALL
void             kcp_message_set_fd_list       (KcpMessage       *self,
                                                GUnixFDList      *fd_list);
KCP_AVAILABLE_IN_ALL
int              kcp_message_append_fd         (KcpMessage       *self,
                                                int               fd,
                                                GError          **error);
KCP_AVAILABLE_IN_ALL
guint            kcp_message_get_n_fds         (KcpMessage       *self);
KCP_AVAILABLE_IN_ALL
int              kcp_message_get_fd            (KcpMessage       *self,
                                                guint             index,
                                                GError          **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
int             *kcp_message_steal_fds         (KcpMessage       *self,
                                                int              *n_fds) G_GNUC_WARN_UNUSED_RESULT;

KCP_AVAILABLE_IN_ALL
KcpTraceContext *kcp_message_get_trace_context (KcpMessage       *self);
KCP_AVAILABLE_IN_ALL
void             kcp_message_set_trace_context (KcpMessage       *self,
                                                KcpTraceContext  *trace);
KCP_AVAILABLE_IN_ALL
const char      *kcp_message_get_baggage       (KcpMessage       *self);
KCP_AVAILABLE_IN_ALL
void             kcp_message_set_baggage       (KcpMessage       *self,
                                                const char       *baggage);
KCP_AVAILABLE_IN_ALL
int              kcp_message_get_timeout       (KcpMessage       *self);
KCP_AVAILABLE_IN_ALL
void             kcp_message_set_timeout       (KcpMessage       *self,
                                                int               milliseconds);

KCP_AVAILABLE_IN_ALL
gboolean         kcp_message_get_idempotent    (KcpMessage       *self);
KCP_AVAILABLE_IN_ALL
void             kcp_message_set_idempotent    (KcpMessage       *self,
                                                gboolean          idempotent);
KCP_AVAILABLE_IN_ALL
gboolean         kcp_message_get_wait_for_room (KcpMessage       *self);
KCP_AVAILABLE_IN_ALL
void             kcp_message_set_wait_for_room (KcpMessage       *self,
                                                gboolean          wait);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpMessage, kcp_message_unref)

G_END_DECLS
