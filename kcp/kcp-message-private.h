/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-message.h"

G_BEGIN_DECLS

/* Takes everything but @body, of which it takes a reference. */
KcpMessage *kcp_message_new_received (char            *path,
                                      GBytes          *body,
                                      char            *content_type,
                                      KcpTraceContext *trace,
                                      char            *baggage);
/* What @fds holds is the message's from now on, the last of them as its body if @has_body. */
void        kcp_message_take_received_fds (KcpMessage      *self,
                                           GUnixFDList     *fds,
                                           gboolean         has_body,
                                           guint64          body_size);

/* The bytes that travel in the frame: none where the body is in a descriptor. Borrowed. */
GBytes     *kcp_message_get_frame_body    (KcpMessage      *self,
                                           GError         **error);
/* How many descriptors travel, that of the body included. */
guint       kcp_message_count_fds         (KcpMessage      *self);
gboolean    kcp_message_has_body_fd       (KcpMessage      *self,
                                           guint64         *size);
/* Those descriptors, that of the body last; @fds is owned by the caller, NULL if there are none. */
gboolean    kcp_message_collect_fds       (KcpMessage      *self,
                                           GUnixFDList    **fds,
                                           GError         **error);

KcpMessage *kcp_message_copy         (KcpMessage      *self);

G_END_DECLS
