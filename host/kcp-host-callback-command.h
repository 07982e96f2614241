/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp.h"

G_BEGIN_DECLS

#define HOST_TYPE_CALLBACK_COMMAND (host_callback_command_get_type ())

/* Answers callbacks by running a command: the body goes in as JSON, what it prints is the reply. */
G_DECLARE_FINAL_TYPE (HostCallbackCommand, host_callback_command, HOST, CALLBACK_COMMAND, GObject)

/* Adds the handler that @setting, a PATH=COMMAND, describes. */
gboolean host_callback_command_add (KcpCallbackRouter  *router,
                                    const char         *setting,
                                    GError            **error);

G_END_DECLS
