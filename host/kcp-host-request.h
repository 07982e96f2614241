/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp.h"

G_BEGIN_DECLS

typedef enum
{
  HOST_REQUEST_CALL,           /* {"id":1,"call":"path","body":…}, or: path {…} */
  HOST_REQUEST_TELL,           /* {"tell":"path","body":…} */
  HOST_REQUEST_CANCEL,         /* {"id":1,"cancel":true} */
  HOST_REQUEST_CALLBACK_REPLY, /* {"callback":1,"reply":…} */
  HOST_REQUEST_CALLBACK_ITEM,  /* {"callback":1,"item":…} */
  HOST_REQUEST_CALLBACK_ERROR, /* {"callback":1,"error":"text"} */
} HostRequestKind;

/* What a line of input asks for. */
typedef struct
{
  HostRequestKind kind;
  char *id;              /* as JSON text; NULL if the line has none */
  KcpMessage *message;   /* of a call or a tell */
  guint64 callback;      /* which callback is answered */
  JsonNode *body;        /* of its reply or item */
  char *text;            /* of its error */
} HostRequest;

/* Reads a line that is not blank. On an error @id is set if the line has a usable one, so that the
 * complaint can carry it. */
HostRequest *host_request_parse (const char   *line,
                                 gsize         length,
                                 char        **id,
                                 GError      **error) G_GNUC_WARN_UNUSED_RESULT;
void         host_request_free  (HostRequest  *self);

/* Whether @path can be one at all; says why not. */
gboolean     host_path_check    (const char   *path,
                                 GError      **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HostRequest, host_request_free)

G_END_DECLS
