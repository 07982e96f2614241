/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp.h"
#include "kcp-host-request.h"
#include "kcp-host-terminal.h"

G_BEGIN_DECLS

#define HOST_TYPE_CALLBACK_LINES (host_callback_lines_get_type ())

/* Calls of the plugin go out as lines, answers come in as lines. */
G_DECLARE_FINAL_TYPE (HostCallbackLines, host_callback_lines, HOST, CALLBACK_LINES, GObject)

/* Takes @text, a line with its end. */
typedef void (*HostEmitFunc) (gpointer  data,
                              char     *text);

HostCallbackLines *host_callback_lines_new        (const HostStyle    *style,
                                                   HostEmitFunc        emit,
                                                   gpointer            data) G_GNUC_WARN_UNUSED_RESULT;

/* FALSE with an error if the line makes no sense: such a callback was never there. An answer that
 * comes too late is passed over. */
gboolean           host_callback_lines_answer     (HostCallbackLines  *self,
                                                   HostRequest        *request,
                                                   GError            **error);

/* Callbacks that wait for a line. */
guint              host_callback_lines_get_n_open (HostCallbackLines  *self);

/* No answers will come any more: what waits fails, and so does what is yet to come. */
void               host_callback_lines_close      (HostCallbackLines  *self);

G_END_DECLS
