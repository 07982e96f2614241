/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

#define KCP_TYPE_INVOCATION (kcp_invocation_get_type ())

KCP_AVAILABLE_IN_ALL
GType            kcp_invocation_get_type          (void);
KCP_AVAILABLE_IN_ALL
KcpInvocation   *kcp_invocation_ref               (KcpInvocation  *self);
KCP_AVAILABLE_IN_ALL
void             kcp_invocation_unref             (KcpInvocation  *self);

/* What was asked. */
KCP_AVAILABLE_IN_ALL
KcpMessage      *kcp_invocation_get_message       (KcpInvocation  *self);
KCP_AVAILABLE_IN_ALL
const char      *kcp_invocation_get_path          (KcpInvocation  *self);
KCP_AVAILABLE_IN_ALL
JsonNode        *kcp_invocation_get_body          (KcpInvocation  *self,
                                                   GError        **error);
KCP_AVAILABLE_IN_ALL
KcpTraceContext *kcp_invocation_get_trace_context (KcpInvocation  *self);
KCP_AVAILABLE_IN_ALL
gint64           kcp_invocation_get_deadline      (KcpInvocation  *self);
KCP_AVAILABLE_IN_ALL
gboolean         kcp_invocation_wants_reply       (KcpInvocation  *self);

/* Whether it is still wanted. */
KCP_AVAILABLE_IN_ALL
GCancellable    *kcp_invocation_get_cancellable   (KcpInvocation  *self);
KCP_AVAILABLE_IN_ALL
gboolean         kcp_invocation_is_open           (KcpInvocation  *self);

/* The answer: any number of items, then one end or one error. */
KCP_AVAILABLE_IN_ALL
gboolean         kcp_invocation_send_item         (KcpInvocation  *self,
                                                   JsonNode       *body);
KCP_AVAILABLE_IN_ALL
gboolean         kcp_invocation_send_item_message (KcpInvocation  *self,
                                                   KcpMessage     *message);
KCP_AVAILABLE_IN_ALL
gboolean         kcp_invocation_has_room          (KcpInvocation  *self);
KCP_AVAILABLE_IN_ALL
void             kcp_invocation_send_item_async   (KcpInvocation  *self,
                                                   JsonNode       *body,
                                                   GAsyncReadyCallback callback,
                                                   gpointer        user_data);
KCP_AVAILABLE_IN_ALL
gboolean         kcp_invocation_send_item_finish  (KcpInvocation  *self,
                                                   GAsyncResult   *result,
                                                   GError        **error);
KCP_AVAILABLE_IN_ALL
gboolean         kcp_invocation_send_item_wait    (KcpInvocation  *self,
                                                   JsonNode       *body);
KCP_AVAILABLE_IN_ALL
void             kcp_invocation_reply             (KcpInvocation  *self,
                                                   JsonNode       *body);
KCP_AVAILABLE_IN_ALL
void             kcp_invocation_reply_message     (KcpInvocation  *self,
                                                   KcpMessage     *message);
KCP_AVAILABLE_IN_ALL
void             kcp_invocation_fail              (KcpInvocation  *self,
                                                   const GError   *error);
KCP_AVAILABLE_IN_ALL
void             kcp_invocation_take_error        (KcpInvocation  *self,
                                                   GError         *error);
KCP_AVAILABLE_IN_ALL
void             kcp_invocation_fail_printf       (KcpInvocation  *self,
                                                   GQuark          domain,
                                                   int             code,
                                                   const char     *format,
                                                   ...) G_GNUC_PRINTF (4, 5);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpInvocation, kcp_invocation_unref)

G_END_DECLS
