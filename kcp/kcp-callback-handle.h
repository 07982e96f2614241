/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

#define KCP_TYPE_CALLBACK_HANDLE (kcp_callback_handle_get_type ())

KCP_AVAILABLE_IN_ALL
G_DECLARE_FINAL_TYPE (KcpCallbackHandle, kcp_callback_handle, KCP, CALLBACK_HANDLE, GObject)

KCP_AVAILABLE_IN_ALL
void        kcp_callback_handle_ask_async  (KcpCallbackHandle    *self,
                                            KcpMessage           *message,
                                            GCancellable         *cancellable,
                                            GAsyncReadyCallback   callback,
                                            gpointer              user_data);
KCP_AVAILABLE_IN_ALL
KcpMessage *kcp_callback_handle_ask_finish (KcpCallbackHandle    *self,
                                            GAsyncResult         *result,
                                            GError              **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
KcpMessage *kcp_callback_handle_ask        (KcpCallbackHandle    *self,
                                            KcpMessage           *message,
                                            GCancellable         *cancellable,
                                            GError              **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
gboolean    kcp_callback_handle_tell       (KcpCallbackHandle    *self,
                                            KcpMessage           *message,
                                            GError              **error);
KCP_AVAILABLE_IN_ALL
KcpStream  *kcp_callback_handle_ask_stream (KcpCallbackHandle    *self,
                                            KcpMessage           *message,
                                            GCancellable         *cancellable) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
const char *kcp_callback_handle_get_actor_name (KcpCallbackHandle *self);

G_END_DECLS
