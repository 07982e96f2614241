/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp.h"
#include "kcp-host-terminal.h"

G_BEGIN_DECLS

/* Lines of output, with their line end: JSON without @style, else for a person. They are as long as
 * they have to be; ids are JSON text. */

/* NULL with an error if the body of @message is broken. */
char *host_answer_item      (const HostStyle *style,
                             const char      *id,
                             KcpMessage      *message,
                             GError         **error) G_GNUC_WARN_UNUSED_RESULT;
char *host_answer_end       (const HostStyle *style,
                             const char      *id,
                             KcpMessage      *message,
                             GError         **error) G_GNUC_WARN_UNUSED_RESULT;

/* @id may be NULL, @line 0: either says what the error is about. */
char *host_answer_error     (const HostStyle *style,
                             const char      *id,
                             guint64          line,
                             const GError    *error) G_GNUC_WARN_UNUSED_RESULT;

/* A call of the plugin, numbered by us. */
char *host_answer_callback  (const HostStyle *style,
                             guint64          number,
                             KcpInvocation   *invocation,
                             GError         **error) G_GNUC_WARN_UNUSED_RESULT;

/* Nobody waits for the answer to that call any more. */
char *host_answer_cancelled (const HostStyle *style,
                             guint64          number) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
