// The hello of the bench in JavaScript, for Valor and for the servers that it is compared with.
export default {
  fetch() {
    return new Response("OK response from a plugin");
  },
};
