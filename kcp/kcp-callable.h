/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

#define KCP_TYPE_CALLABLE (kcp_callable_get_type ())

/**
 * KcpCallable:
 *
 * Whatever can be asked: one child, a supervised child, a pool of them. Code that only makes
 * calls takes this and need not know which it is.
 */
KCP_AVAILABLE_IN_ALL
G_DECLARE_INTERFACE (KcpCallable, kcp_callable, KCP, CALLABLE, GObject)

/**
 * KcpCallableInterface:
 * @ask_async: asks; never calls back from inside
 * @ask_finish: gives the answer (transfer full), or %NULL with an error
 * @tell: sends a message that needs no answer
 * @ask_stream: asks for a stream (transfer full); an error comes with its first item
 *
 * What something that can be asked has to do; see #KcpActor for what each is expected to mean.
 */
struct _KcpCallableInterface
{
  GTypeInterface parent_iface;

  void        (*ask_async)  (KcpCallable          *self,
                             KcpMessage           *message,
                             GCancellable         *cancellable,
                             GAsyncReadyCallback   callback,
                             gpointer              user_data);
  KcpMessage *(*ask_finish) (KcpCallable          *self,
                             GAsyncResult         *result,
                             GError              **error);
  gboolean    (*tell)       (KcpCallable          *self,
                             KcpMessage           *message,
                             GError              **error);
  KcpStream  *(*ask_stream) (KcpCallable          *self,
                             KcpMessage           *message,
                             GCancellable         *cancellable);
};

KCP_AVAILABLE_IN_ALL
void        kcp_callable_ask_async  (KcpCallable          *self,
                                     KcpMessage           *message,
                                     GCancellable         *cancellable,
                                     GAsyncReadyCallback   callback,
                                     gpointer              user_data);
KCP_AVAILABLE_IN_ALL
KcpMessage *kcp_callable_ask_finish (KcpCallable          *self,
                                     GAsyncResult         *result,
                                     GError              **error) G_GNUC_WARN_UNUSED_RESULT;
KCP_AVAILABLE_IN_ALL
gboolean    kcp_callable_tell       (KcpCallable          *self,
                                     KcpMessage           *message,
                                     GError              **error);
KCP_AVAILABLE_IN_ALL
KcpStream  *kcp_callable_ask_stream (KcpCallable          *self,
                                     KcpMessage           *message,
                                     GCancellable         *cancellable) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
