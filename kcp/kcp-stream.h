/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

#define KCP_TYPE_STREAM (kcp_stream_get_type ())

KCP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (KcpStream, kcp_stream, KCP, STREAM, GObject)

KCP_AVAILABLE_IN_ALL
void        kcp_stream_next_async    (KcpStream            *self,
                                      GCancellable         *cancellable,
                                      GAsyncReadyCallback   callback,
                                      gpointer              user_data);
KCP_AVAILABLE_IN_ALL
KcpMessage *kcp_stream_next_finish   (KcpStream            *self,
                                      GAsyncResult         *result,
                                      GError              **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
KcpMessage *kcp_stream_next          (KcpStream            *self,
                                      GCancellable         *cancellable,
                                      GError              **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
KcpMessage *kcp_stream_get_result    (KcpStream            *self);
KCP_AVAILABLE_IN_ALL
gboolean    kcp_stream_is_done       (KcpStream            *self);
KCP_AVAILABLE_IN_ALL
void        kcp_stream_close         (KcpStream            *self);

G_END_DECLS
