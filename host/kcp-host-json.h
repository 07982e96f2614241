/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp.h"
#include "kcp-host-terminal.h"

G_BEGIN_DECLS

/* @node for a person: coloured, in one line where @column and what follows fit the width, else
 * indented by @indent. Control characters inside strings are escaped, those JSON allows as well. */
char *host_json_render  (JsonNode         *node,
                         const HostStyle  *style,
                         guint             column,
                         guint             indent) G_GNUC_WARN_UNUSED_RESULT;

/* A body as a value for a line of JSON. What is not JSON becomes an object with its content type
 * and the bytes in base64. NULL with an error if the body is broken. */
char *host_json_body    (KcpMessage       *message,
                         GError          **error) G_GNUC_WARN_UNUSED_RESULT;

/* `{"domain":…,"code":…,"message":…}`, never translated. */
char *host_json_error   (const GError     *error) G_GNUC_WARN_UNUSED_RESULT;

/* @text as a JSON string, quotes included; bytes that are no UTF-8 are replaced. */
char *host_json_string  (const char       *text) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
