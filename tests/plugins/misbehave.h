/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <kcp-plugin.h>

/* Inside of the plugin "misbehave". */

/* The body if it is a string, else "". */
const char *misbehave_text               (KcpInvocation *invocation);
void        misbehave_reply_int          (KcpInvocation *invocation,
                                          gint64         number);

void        misbehave_handle_environment (gpointer       self,
                                          KcpInvocation *invocation);
void        misbehave_handle_process     (gpointer       self,
                                          KcpInvocation *invocation);
