// A vlugin that never answers: it runs until its host ends it.
export default {
  fetch() {
    for (;;);
  },
};
