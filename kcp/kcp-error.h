/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

/**
 * KCP_ERROR:
 *
 * The error domain of kcp. Cancellation is not in it: it is always %G_IO_ERROR_CANCELLED.
 */
#define KCP_ERROR (kcp_error_quark ())

/**
 * KcpError:
 * @KCP_ERROR_SPAWN_FAILED: the child's process could not be started
 * @KCP_ERROR_HANDSHAKE_FAILED: the child ended, or spoke wrongly, before both sockets were joined
 * @KCP_ERROR_HANDSHAKE_TIMED_OUT: the start did not finish in time; the message names the missing step
 * @KCP_ERROR_VERSION_MISMATCH: host and child share no protocol version
 * @KCP_ERROR_PLUGIN_LOAD: the plugin file could not be opened
 * @KCP_ERROR_PLUGIN_ABI: the file is no kcp plugin, or one of another ABI
 * @KCP_ERROR_PLUGIN_START: the plugin refused its configuration or its start
 * @KCP_ERROR_CHILD_EXITED: the child ended by itself while something was expected of it
 * @KCP_ERROR_CHILD_CRASHED: the child was ended by a signal
 * @KCP_ERROR_CONNECTION_CLOSED: a socket was closed while the call was open
 * @KCP_ERROR_NOT_RUNNING: there is no child to send this to (any more)
 * @KCP_ERROR_STOPPING: the child is being stopped and takes no new calls
 * @KCP_ERROR_TIMED_OUT: the call's deadline has passed
 * @KCP_ERROR_BUSY: too much is waiting already
 * @KCP_ERROR_TOO_LARGE: a message is over a limit; nothing of it was sent
 * @KCP_ERROR_INVALID_MESSAGE: a message's body is not what it says it is
 * @KCP_ERROR_UNKNOWN_PATH: nothing serves this path
 * @KCP_ERROR_HANDLER_FAILED: the handler answered with an error this program does not know;
 *   see kcp_error_get_remote_domain()
 * @KCP_ERROR_UNANSWERED: the handler dropped the call without an answer
 * @KCP_ERROR_PROTOCOL: the other side broke the wire protocol
 * @KCP_ERROR_PERMISSION: the other side is not who it should be
 * @KCP_ERROR_DUPLICATE_PATH: something is registered for this path already
 * @KCP_ERROR_INVALID_ARGUMENT: a setting cannot be used; the message names it
 *
 * Error codes. New ones are only ever added at the end; each has a stable name on the wire,
 * see kcp_error_to_string().
 */
typedef enum
{
  KCP_ERROR_SPAWN_FAILED,
  KCP_ERROR_HANDSHAKE_FAILED,
  KCP_ERROR_HANDSHAKE_TIMED_OUT,
  KCP_ERROR_VERSION_MISMATCH,
  KCP_ERROR_PLUGIN_LOAD,
  KCP_ERROR_PLUGIN_ABI,
  KCP_ERROR_PLUGIN_START,
  KCP_ERROR_CHILD_EXITED,
  KCP_ERROR_CHILD_CRASHED,
  KCP_ERROR_CONNECTION_CLOSED,
  KCP_ERROR_NOT_RUNNING,
  KCP_ERROR_STOPPING,
  KCP_ERROR_TIMED_OUT,
  KCP_ERROR_BUSY,
  KCP_ERROR_TOO_LARGE,
  KCP_ERROR_INVALID_MESSAGE,
  KCP_ERROR_UNKNOWN_PATH,
  KCP_ERROR_HANDLER_FAILED,
  KCP_ERROR_UNANSWERED,
  KCP_ERROR_PROTOCOL,
  KCP_ERROR_PERMISSION,
  KCP_ERROR_DUPLICATE_PATH,
  KCP_ERROR_INVALID_ARGUMENT,
} KcpError;

KCP_AVAILABLE_IN_ALL
GQuark      kcp_error_quark             (void);

KCP_AVAILABLE_IN_ALL
const char *kcp_error_to_string         (KcpError      code);
KCP_AVAILABLE_IN_ALL
gboolean    kcp_error_from_string       (const char   *name,
                                         KcpError     *code);

KCP_AVAILABLE_IN_ALL
void        kcp_error_register_domain   (GQuark        domain);

KCP_AVAILABLE_IN_ALL
const char *kcp_error_get_remote_domain (const GError *error);
KCP_AVAILABLE_IN_ALL
int         kcp_error_get_remote_code   (const GError *error);
KCP_AVAILABLE_IN_ALL
const char *kcp_error_get_remote_message (const GError *error);

G_END_DECLS
