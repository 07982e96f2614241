/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-message-state-private.h"

#include "kcp-error.h"
#include "kcp-json-private.h"
#include "kcp-trace-context.h"

#include <gio/gunixfdlist.h>

/**
 * KcpMessage:
 *
 * A value that is sent: a path, a body, and what travels along (trace context, baggage,
 * timeout, descriptors). The body is JSON, or bytes with a content type. A message is not copied
 * when it is sent: do not change it afterwards. It may be passed from thread to thread, but is
 * used by one at a time.
 */
G_DEFINE_BOXED_TYPE (KcpMessage, kcp_message, kcp_message_ref, kcp_message_unref)

KcpMessage *
kcp_message_alloc (const char *path)
{
  KcpMessage *self = g_new0 (KcpMessage, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->timeout_ms = KCP_TIMEOUT_DEFAULT;
  self->path = g_strdup (path);
  return self;
}

/**
 * kcp_message_new:
 * @path: (nullable): what serves it, at most 255 bytes; %NULL in a reply or an item
 * @body: (transfer full) (nullable): the body; %NULL for none
 *
 * Makes a message with a JSON body. @body must not be changed any more.
 *
 * Returns: (transfer full): a new message
 */
KcpMessage *
kcp_message_new (const char *path,
                 JsonNode   *body)
{
  KcpMessage *self = kcp_message_alloc (path);

  self->node = body;
  return self;
}

/**
 * kcp_message_new_text:
 * @path: (nullable): what serves it; %NULL in a reply or an item
 * @json: the body as JSON text
 * @error: return location for an error
 *
 * Makes a message from text, which is checked here.
 *
 * Returns: (transfer full): a new message, or %NULL with %KCP_ERROR_INVALID_MESSAGE
 */
KcpMessage *
kcp_message_new_text (const char  *path,
                      const char  *json,
                      GError     **error)
{
  JsonNode *node;
  KcpMessage *self;

  g_return_val_if_fail (json != NULL, NULL);

  node = kcp_json_parse (json, -1, error);
  if (node == NULL)
    return NULL;

  self = kcp_message_alloc (path);
  self->node = node;
  self->bytes = g_bytes_new (json, strlen (json));
  return self;
}

/**
 * kcp_message_new_bytes:
 * @path: (nullable): what serves it; %NULL in a reply or an item
 * @bytes: (transfer none) (nullable): the body
 * @content_type: (nullable): the media type of @bytes; %NULL for JSON text, which is then
 *   checked by whoever reads it
 *
 * Makes a message whose body travels as it is.
 *
 * Returns: (transfer full): a new message
 */
KcpMessage *
kcp_message_new_bytes (const char *path,
                       GBytes     *bytes,
                       const char *content_type)
{
  KcpMessage *self = kcp_message_alloc (path);

  self->bytes = bytes ? g_bytes_ref (bytes) : NULL;
  self->content_type = g_strdup (content_type);
  return self;
}

/**
 * kcp_message_ref:
 * @self: a message
 *
 * Returns: (transfer full): @self with one more reference
 */
KcpMessage *
kcp_message_ref (KcpMessage *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

/**
 * kcp_message_unref:
 * @self: (transfer full): a message
 *
 * Drops one reference.
 */
void
kcp_message_unref (KcpMessage *self)
{
  g_return_if_fail (self != NULL);

  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;

  g_clear_pointer (&self->bytes, g_bytes_unref);
  g_clear_pointer (&self->node, json_node_unref);
  g_clear_pointer (&self->trace, kcp_trace_context_unref);
  g_clear_object (&self->fds);
  g_clear_object (&self->body_fd);
  g_free (self->path);
  g_free (self->content_type);
  g_free (self->baggage);
  g_free (self);
}

/**
 * kcp_message_get_path:
 * @self: a message
 *
 * Returns: (transfer none) (nullable): the path; %NULL in a reply or an item
 */
const char *
kcp_message_get_path (KcpMessage *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->path;
}

/**
 * kcp_message_get_body:
 * @self: a message
 * @error: return location for an error
 *
 * The body as a JSON document; it is read from its bytes at the first call. A message without a
 * body gives a null node. Check what it holds before you use it: it comes from another process.
 *
 * Returns: (transfer none): the body, or %NULL with %KCP_ERROR_INVALID_MESSAGE if it is not
 *   valid JSON, or not JSON at all
 */
JsonNode *
kcp_message_get_body (KcpMessage  *self,
                      GError     **error)
{
  g_return_val_if_fail (self != NULL, NULL);

  if (self->node)
    return self->node;

  if (self->content_type)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE,
                   "the body is “%s”, not JSON", self->content_type);
      return NULL;
    }

  if (self->body_fd && !kcp_message_read_body_fd (self, TRUE, error))
    return NULL;

  /* That there was no body is kept, so that the message can be passed on as it came. */
  if (self->bytes == NULL)
    self->bytes = g_bytes_new (NULL, 0);

  if (g_bytes_get_size (self->bytes) == 0)
    self->node = json_node_new (JSON_NODE_NULL);
  else
    {
      gsize size;
      const char *text = g_bytes_get_data (self->bytes, &size);

      self->node = kcp_json_parse (text, (gssize) size, error);
    }

  return self->node;
}

/**
 * kcp_message_get_body_bytes:
 * @self: a message
 * @error: return location for an error
 *
 * The body as it travels: JSON text, or bytes of the content type. A message without a body
 * gives no bytes. A body that came in a descriptor is mapped at the first call, and not copied.
 *
 * Returns: (transfer none): the bytes, or %NULL with %KCP_ERROR_INVALID_MESSAGE if the
 *   document cannot be written as JSON, or the descriptor of the body is not a sealed memory file
 *   of the size that was told
 */
GBytes *
kcp_message_get_body_bytes (KcpMessage  *self,
                            GError     **error)
{
  g_return_val_if_fail (self != NULL, NULL);

  if (self->bytes)
    return self->bytes;
  if (self->body_fd)
    return kcp_message_read_body_fd (self, FALSE, error) ? self->bytes : NULL;

  if (self->node == NULL)
    self->bytes = g_bytes_new (NULL, 0);
  else
    {
      GString *text = g_string_sized_new (256);

      if (!kcp_json_append (text, self->node, error))
        {
          g_string_free (text, TRUE);
          return NULL;
        }
      self->bytes = g_string_free_to_bytes (text);
    }

  return self->bytes;
}

/**
 * kcp_message_get_content_type:
 * @self: a message
 *
 * Returns: (transfer none) (nullable): the media type of the body; %NULL for JSON
 */
const char *
kcp_message_get_content_type (KcpMessage *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->content_type;
}

/**
 * kcp_message_get_trace_context:
 * @self: a message
 *
 * Returns: (transfer none) (nullable): the trace context it carries
 */
KcpTraceContext *
kcp_message_get_trace_context (KcpMessage *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->trace;
}

/**
 * kcp_message_set_trace_context:
 * @self: a message that was not sent yet
 * @trace: (nullable) (transfer none): what to carry
 *
 * Sets the trace context. A call without one gets a child of the context of the call that is
 * being served, or else a new one.
 */
void
kcp_message_set_trace_context (KcpMessage      *self,
                               KcpTraceContext *trace)
{
  g_return_if_fail (self != NULL);

  if (trace)
    kcp_trace_context_ref (trace);
  g_clear_pointer (&self->trace, kcp_trace_context_unref);
  self->trace = trace;
}

/**
 * kcp_message_get_baggage:
 * @self: a message
 *
 * Returns: (transfer none) (nullable): the W3C baggage it carries
 */
const char *
kcp_message_get_baggage (KcpMessage *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->baggage;
}

/**
 * kcp_message_set_baggage:
 * @self: a message that was not sent yet
 * @baggage: (nullable): a W3C baggage header value
 *
 * Sets what applications pass along with a trace.
 */
void
kcp_message_set_baggage (KcpMessage *self,
                         const char *baggage)
{
  g_return_if_fail (self != NULL);

  g_free (self->baggage);
  self->baggage = g_strdup (baggage);
}

/**
 * kcp_message_get_timeout:
 * @self: a message
 *
 * Returns: milliseconds, %KCP_TIMEOUT_NONE or %KCP_TIMEOUT_DEFAULT
 */
int
kcp_message_get_timeout (KcpMessage *self)
{
  g_return_val_if_fail (self != NULL, KCP_TIMEOUT_DEFAULT);

  return self->timeout_ms;
}

/**
 * kcp_message_set_timeout:
 * @self: a message that was not sent yet
 * @milliseconds: how long a call with it may take; %KCP_TIMEOUT_NONE for as long as it wants,
 *   %KCP_TIMEOUT_DEFAULT for what the actor allows
 *
 * Sets the deadline of a call, counted from when it is made. It travels: the handler sees it.
 */
void
kcp_message_set_timeout (KcpMessage *self,
                         int         milliseconds)
{
  g_return_if_fail (self != NULL);
  g_return_if_fail (milliseconds >= KCP_TIMEOUT_DEFAULT);

  self->timeout_ms = milliseconds;
}

/**
 * kcp_message_get_idempotent:
 * @self: a message
 *
 * Returns: whether a call with it may be made twice
 */
gboolean
kcp_message_get_idempotent (KcpMessage *self)
{
  g_return_val_if_fail (self != NULL, FALSE);

  return self->idempotent;
}

/**
 * kcp_message_set_idempotent:
 * @self: a message that was not sent yet
 * @idempotent: whether it does no harm if the call is made twice
 *
 * Says that a #KcpSupervisor or a #KcpPool may make the call once more, in another process, when
 * the child has died over it.
 */
void
kcp_message_set_idempotent (KcpMessage *self,
                            gboolean    idempotent)
{
  g_return_if_fail (self != NULL);

  self->idempotent = idempotent;
}

/**
 * kcp_message_get_wait_for_room:
 * @self: a message
 *
 * Returns: whether a call with it waits where another would fail with %KCP_ERROR_BUSY
 */
gboolean
kcp_message_get_wait_for_room (KcpMessage *self)
{
  g_return_val_if_fail (self != NULL, FALSE);

  return self->wait_for_room;
}

/**
 * kcp_message_set_wait_for_room:
 * @self: a message that was not sent yet
 * @wait: whether to wait
 *
 * When too many calls are waiting already, a call fails with %KCP_ERROR_BUSY. With @wait it
 * joins them all the same; its deadline counts from when it was made.
 */
void
kcp_message_set_wait_for_room (KcpMessage *self,
                               gboolean    wait)
{
  g_return_if_fail (self != NULL);

  self->wait_for_room = wait;
}

/* ---- for a pool ---- */

/* The same once more, to be sent with another timeout or trace: a message that was sent is not
 * changed any more. Body and descriptors are shared. */
KcpMessage *
kcp_message_copy (KcpMessage *self)
{
  KcpMessage *copy = kcp_message_alloc (self->path);

  copy->timeout_ms = self->timeout_ms;
  copy->wait_for_room = self->wait_for_room;
  copy->idempotent = self->idempotent;
  copy->content_type = g_strdup (self->content_type);
  copy->baggage = g_strdup (self->baggage);
  copy->trace = self->trace ? kcp_trace_context_ref (self->trace) : NULL;
  copy->bytes = self->bytes ? g_bytes_ref (self->bytes) : NULL;
  copy->node = self->node ? json_node_ref (self->node) : NULL;
  copy->fds = self->fds ? g_object_ref (self->fds) : NULL;
  copy->body_fd = self->body_fd ? g_object_ref (self->body_fd) : NULL;
  copy->body_fd_size = self->body_fd_size;
  return copy;
}

/* ---- for the codec ---- */

KcpMessage *
kcp_message_new_received (char            *path,
                          GBytes          *body,
                          char            *content_type,
                          KcpTraceContext *trace,
                          char            *baggage)
{
  KcpMessage *self = kcp_message_alloc (NULL);

  self->path = path;
  self->bytes = body ? g_bytes_ref (body) : NULL;
  self->content_type = content_type;
  self->trace = trace;
  self->baggage = baggage;
  return self;
}
